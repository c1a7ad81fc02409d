"""Money and hours before they are spent: from counted rows, a canary or earlier results. Pure."""
