"""Speed as ratios: what the program, the pack and the order of tasks cost over the least they could."""
