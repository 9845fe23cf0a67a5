"""Trials under hostile conditions: kills, full disks, two writers; on tiny models, with counts."""
