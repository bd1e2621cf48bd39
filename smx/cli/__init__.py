"""The smx command: main is the registry, each command has a module of its own, imported only when it is used."""
