"""Stream-processing blocks. ``from blocks import Demodulator`` loads that block's module only."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blocks.burst_modulator import BurstModulator
    from blocks.burst_receiver import BurstReceiver
    from blocks.burst_reference import BurstReference
    from blocks.burst_synchroniser import BurstSynchroniser
    from blocks.communication_metrics import CommunicationMetrics
    from blocks.constellation_probe import ConstellationProbe
    from blocks.demodulator import Demodulator
    from blocks.detection_counter import DetectionCounter
    from blocks.detection_map import DetectionMap
    from blocks.detector import Detector
    from blocks.file_receiver import FileReceiver
    from blocks.file_sender import FileSender
    from blocks.frame_player import FramePlayer
    from blocks.frame_recorder import FrameRecorder
    from blocks.learned_detector import LearnedDetector
    from blocks.learned_precoder import LearnedPrecoder
    from blocks.message_sink import MessageSink
    from blocks.message_source import MessageSource
    from blocks.miso_channel import MisoChannel
    from blocks.neural_demodulator import NeuralDemodulator
    from blocks.neural_detector import NeuralDetector
    from blocks.neural_encoder import NeuralEncoder
    from blocks.neural_precoder import NeuralPrecoder
    from blocks.paired_sensing_metrics import PairedSensingMetrics
    from blocks.precoder import Precoder
    from blocks.qam_encoder import QamEncoder
    from blocks.radar_receiver import RadarReceiver
    from blocks.radio_player import RadioPlayer
    from blocks.radio_receive import RadioReceive
    from blocks.radio_transmit import RadioTransmit
    from blocks.reed_solomon_decoder import ReedSolomonDecoder
    from blocks.reed_solomon_encoder import ReedSolomonEncoder
    from blocks.scene_truth import SceneTruth
    from blocks.sensing_metrics import SensingMetrics
    from blocks.sensing_response import SensingResponse
    from blocks.sigmf_player import SigmfPlayer
    from blocks.sigmf_recorder import SigmfRecorder
    from blocks.target_reflector import TargetReflector

__all__ = [
    "BurstModulator",
    "BurstReceiver",
    "BurstReference",
    "BurstSynchroniser",
    "CommunicationMetrics",
    "ConstellationProbe",
    "Demodulator",
    "DetectionCounter",
    "DetectionMap",
    "Detector",
    "FileReceiver",
    "FileSender",
    "FramePlayer",
    "FrameRecorder",
    "LearnedDetector",
    "LearnedPrecoder",
    "MessageSink",
    "MessageSource",
    "MisoChannel",
    "NeuralDemodulator",
    "NeuralDetector",
    "NeuralEncoder",
    "NeuralPrecoder",
    "PairedSensingMetrics",
    "Precoder",
    "QamEncoder",
    "RadarReceiver",
    "RadioPlayer",
    "RadioReceive",
    "RadioTransmit",
    "ReedSolomonDecoder",
    "ReedSolomonEncoder",
    "SceneTruth",
    "SensingMetrics",
    "SensingResponse",
    "SigmfPlayer",
    "SigmfRecorder",
    "TargetReflector",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)[1:]
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
