"""One file per task; the file is named like the task and has it as ``TASK``. Being here is being registered."""
