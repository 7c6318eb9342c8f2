"""Taskline's server and workers, and what task authors need: TaskRegistry and TaskContext."""
