"""Train a model offline: ``python -m isac_models.train --help``."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isac_models.errors import UserError, one_line
from isac_models.learning.arguments import Unset, given, parse
from isac_models.options import scenario_arguments, scenario_from

if TYPE_CHECKING:
    from isac_models.learning.interrupts import Interrupts
    from isac_models.learning.loop import Progress
    from isac_models.learning.session import Session

INTERRUPTED = 130
OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 done, 1 failed on the way, 2 bad input, 130 stopped."""
    options = parse(arguments)
    from isac_models.learning.interrupts import Interrupts

    launched = "WORLD_SIZE" in os.environ
    with Interrupts(patient=launched) as interrupts:
        try:
            return _run(options, interrupts)
        except UserError as error:
            _complain(_with_options(str(error), options.named))
        except KeyboardInterrupt:
            if interrupts.running:
                hint = _resume(options.kind, options.resume or options.out)
                _complain(f"stopped at once; continue from the last checkpoint with: {hint}")
            else:
                _complain("stopped before the training began")
            return INTERRUPTED
        except (MemoryError, RuntimeError) as error:
            if not (isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error))):
                raise
            _complain("not enough memory: give a smaller --batch")
        return 1 if interrupts.running else 2


def _run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Prepare, train, write the artifact."""
    session, remarks = _new(options) if options.resume is None else _resumed(options)
    from isac_models.learning.display import Display

    display = Display(quiet=options.quiet or not session.leads)
    try:
        session.take()
        interrupts.running = True
        session.begin(display.note)
        for remark in remarks:
            display.note(remark)
        done = session.train(options.checkpoint_every, lambda: interrupts.asked, display)
        display.close()
        if not done:
            if session.leads:
                at = f"{session.progress.iteration:,} of {session.total:,} iterations"
                hint = _resume(options.kind, options.resume or options.out)
                print(f"stopped after {at}; continue with: {hint}", file=sys.stderr)
            return INTERRUPTED
        session.finish()
        for line in _summary(session):
            display.note(line)
    finally:
        display.close()
        session.end()
    return 0


def _new(options: argparse.Namespace) -> tuple[Session, list[str]]:
    """A training from its beginning, and what to say of it."""
    from isac_models.learning import session as s
    from isac_models.learning.folder import Folder
    from isac_models.learning.loop import Progress

    folder = Folder(options.out)
    if s.rank() == 0:
        folder.check_new()
    scenario = scenario_from(options)
    asked = {"threads": s.processors(), **given(options)}
    asked["device"] = s.device(asked.get("device", "auto"))
    settings = s.task_class(options.kind).complete(asked)
    progress = Progress(patience=None if "patience" in options.named else options.patience)
    progress.held_out_every = options.held_out_every or progress.held_out_every
    progress.command = _command(options, scenario, settings, progress)
    made = s.Session(options.kind, scenario, settings, progress, folder)
    where = f"{settings['device']}, {settings['threads']} thread{'s' * (settings['threads'] != 1)}"
    return made, [f"training {options.kind}: {made.total:,} iterations on {where}, into {options.out}"]


def _resumed(options: argparse.Namespace) -> tuple[Session, list[str]]:
    """A training that goes on, and what to say of it.

    Raises UserError for options that the training was not begun with.
    """
    from isac_models.learning import checkpoint
    from isac_models.learning import session as s
    from isac_models.learning.folder import Folder
    from isac_models.learning.setting_types import check_complete

    folder = Folder(options.resume)
    folder.check_resumable()
    saved = checkpoint.load(folder.checkpoint)
    if saved.kind != options.kind:
        raise UserError(f"--resume {options.resume}: the training there is {saved.kind}")
    complete = s.task_class(options.kind).complete
    try:
        check_complete(saved.settings, complete(saved.settings))
    except UserError as error:
        raise UserError(f"{folder.checkpoint}: {error}") from None
    base = saved.scenario if isinstance(options.scenario, Unset) else None
    asked, kept = scenario_from(options, base).to_dict(), saved.scenario.to_dict()
    for key, value in asked.items():
        if value != kept[key]:
            raise _other(f"the scenario's {key} {value}", kept[key], options.resume)
    wanted = given(options)
    if "device" in wanted:
        wanted["device"] = s.device(wanted["device"])
    elif s.device("auto") != (used := saved.settings["device"]) != "cpu":
        raise UserError(f"--resume {options.resume}: it ran on {used}, which is not here: add --device cpu")
    settings = complete({**saved.settings, **wanted})
    free = {"device", "threads"}
    for key, value in wanted.items():
        if key not in free and settings[key] != saved.settings.get(key):
            raise _other(f"{options.named[key]} {_text(value)}", saved.settings.get(key), options.resume)
    for key in {"patience", "held_out_every"} - options.named.keys():
        value, now = getattr(options, key), getattr(saved.progress, key)
        if value is not None and value != now:
            raise _other(f"--{key.replace('_', '-')} {value}", now, options.resume)
    made = s.Session(options.kind, saved.scenario, settings, saved.progress, folder, saved.state)
    remarks = [f"continuing {options.kind} at iteration {saved.progress.iteration:,} of {made.total:,}"]
    changed = [
        f"{name} is {new}, was {old}"
        for name, new, old in [
            *((key, settings[key], saved.settings.get(key)) for key in sorted(free)),
            *((name, new, saved.versions.get(name)) for name, new in s.versions().items()),
        ]
        if new != old
    ]
    if changed:
        remarks.append(f"the weights may differ in their last digits from here on: {', '.join(changed)}")
    return made, remarks


def _other(asked: str, kept: Any, folder: str) -> UserError:
    was = "was begun without" if kept is None else f"was begun with {_text(kept)}"
    return UserError(
        f"{asked}: the training in {folder} {was} and goes on so; leave the option out, or begin another one"
    )


def _command(options: argparse.Namespace, scenario: Any, settings: dict[str, Any], progress: Progress) -> str:
    """What begins this training anew, in a folder called DIR."""
    parts = [options.kind, *scenario_arguments(scenario)]
    named = {"held_out_every": "--held-out-every", "patience": "--patience", **options.named}
    for key, option in named.items():
        value = {"held_out_every": progress.held_out_every, "patience": progress.patience, **settings}.get(
            key
        )
        if isinstance(value, bool):
            parts.append(option if value else f"--no-{option[2:]}")
        elif value is not None:
            parts += [option, *(map(_text, value) if isinstance(value, list | tuple) else [_text(value)])]
    return f"{_program('python')} {shlex.join([*parts, '--out', 'DIR'])}"


def _resume(kind: str, folder: str) -> str:
    """What continues a training, from this directory and with this interpreter."""
    found = shutil.which("python")
    python = "python"
    if found is None or os.path.abspath(found) != os.path.abspath(sys.executable):
        relative = os.path.relpath(sys.executable)
        python = sys.executable if relative.startswith("..") else relative
    return f"{_program(python)} {shlex.join([kind, '--resume', folder])}"


def _program(python: str) -> str:
    """How this program is started: by the interpreter, or by torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return f"{shlex.quote(python)} -m isac_models.train"
    local = os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"])
    return f"torchrun --nproc-per-node {local} -m isac_models.train"


def _text(value: Any) -> str:
    """A value as it is given on the command line."""
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return repr(value) if isinstance(value, float) else str(value)


def _with_options(message: str, named: dict[str, str]) -> str:
    """A message that begins with the name of a setting, with that of its option instead."""
    key, separator, rest = message.partition(" ")
    return f"{named.get(key, key)}{separator}{rest}"


def _summary(session: Session) -> list[str]:
    """Time, losses, where the result lies, and how it is used."""
    from isac_models.learning.display import duration

    task, progress, path = session.task, session.progress, shlex.quote(str(session.folder.artifact))
    early = f" of {session.total:,}, flat before the end" * (progress.steps < session.total)
    early += _stopped(session)
    use = "--precoder learned" if task.kind == "model-driven" else "--precoder neural"
    if task.settings.get("from_recording"):
        use = "--detector learned"  # echoes teach the receiver: of the beam they say too little
    scenario = shlex.join(scenario_arguments(task.scenario))
    losses = f"loss {progress.loss:.4g}, held-out loss {progress.held_out_loss:.4g}"
    steps = f"{progress.steps:,} iterations{early}"
    return [
        f"{task.kind} trained in {duration(progress.seconds)}: {steps}, {losses}",
        f"written: {path}",
        f"use it:  python flowgraphs/isac_link.py {scenario} {use} --artifact {path}",
    ]


def _stopped(session: Session) -> str:
    """Which of the networks ended a step early."""
    from isac_models.learning.neural_settings import iterations_run

    ends = session.task.facts().get("stopped_at", ())
    iterations = session.task.settings["iterations"]
    taken = iterations_run(iterations, ends)
    if min(taken) == iterations:
        return ""
    early = sum(steps < iterations for steps in taken)
    return (
        f" ({early} of {len(taken)} steps of an ω_r were flat and ended early, after {min(taken):,} or more)"
    )


def _complain(message: str) -> None:
    process = os.environ.get("RANK", "0")
    who = "error" if process == "0" else f"error in process {process}"
    print(f"{who}: {one_line(message)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
