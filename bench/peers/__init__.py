"""Other systems that execute tasks, each with a program that runs in its own environment.

`python -m bench.peers.NAME work SOCKET [default]` executes tasks, `… produce SOCKET` hands them
over and reads their results, both by the store that listens on SOCKET; they tell of executions in
BENCH_FOLDER. What they have in common is in bench/peers/programs.py.
"""
