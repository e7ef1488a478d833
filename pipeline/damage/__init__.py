"""Damage drawn on pictures: what training undoes, and, from seeds of its own, what a restoration is judged on.

All of it is batched, runs where the pictures are, and takes every random number from one stream of the CPU: the same
stream gives the same damage on every device, and each picture's is a function of its own row of numbers.
"""
