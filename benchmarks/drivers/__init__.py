"""Programs of the packages that `make bench-peers` compares with, as their users write them."""
