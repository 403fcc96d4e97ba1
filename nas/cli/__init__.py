"""The command line: one file a command, read only when that command is given."""
