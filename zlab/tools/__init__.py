"""What works on whole stores and arrays: the demo stores, planes of chunk grids."""
