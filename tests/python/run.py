"""python run.py: the Python clients against the server that HUBLINE_CONFORMANCE_SERVER names."""

from parts.results import main

main()
