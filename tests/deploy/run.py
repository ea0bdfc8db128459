"""python run.py: the files of deploy/, by the tools that read them. HUBLINE_SERVER names the program."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "python"))

from parts.results import main  # noqa: E402

main(HERE)
