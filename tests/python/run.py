"""python run.py: the Python clients against the server that HUBLINE_CONFORMANCE_SERVER names, and the API of the program HUBLINE_SERVER."""

from parts.results import main

main()
