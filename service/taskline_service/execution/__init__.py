"""Runs the code of one task: on the event loop, in a thread, or in a child process.

Knows nothing of claims and of the store. Imports nothing here, so that a child process
imports only what it needs.
"""
