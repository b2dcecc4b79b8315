"""What a run does about leftovers: marks of killed runs, damaged files, pointers that the index misses."""
