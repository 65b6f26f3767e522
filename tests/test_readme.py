"""The README's own code runs, and prints what the README says it prints."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_python_examples_run_one_after_the_other(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(examples) >= 3
    script = tmp_path / "readme.py"
    script.write_text("\n".join(examples), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    first, last = run.stdout.splitlines()
    assert first.endswith("0 frames lost")
    assert f"`{last}`" in text
