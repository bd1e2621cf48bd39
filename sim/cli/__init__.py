"""The commands of the simulator, one file a command; `main` finds them."""
