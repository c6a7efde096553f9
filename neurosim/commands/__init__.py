"""The commands of the command line; what they need is loaded when they run, so that ``--help`` is instant."""
