"""What an instruction in front of a query does: the right one, the same in other words, a wrong one, none."""
