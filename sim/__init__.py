"""The simulator: the real components of smx on SimPy time, in a world where disk, network, DNS, peers and clocks fail (architecture 6)."""
