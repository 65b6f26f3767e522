"""The waveform that a radio needs: pulses, bursts, synchronisation, pilots, leakage."""
