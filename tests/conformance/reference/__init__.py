"""A reference MTA in memory, small and by the letter of RFC 5321, and mutants of it: proof that each case passes where it should, and can fail."""
