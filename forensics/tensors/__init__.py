"""What is measured of one tensor or of a pair: digests, statistics, differences, block by block."""
