"""What an operator does to the control table: reset positions, record gaps, fence, switch plans.

Libraries over what is injected (store, archive's file system, a view of the log), so that the model test drives this
very code. Every step is idempotent: a process that dies at any instruction is continued by the same command. The
commands in `cli/` are thin on top: they say what will happen, and ask.
"""
