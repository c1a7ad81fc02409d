"""Standard error and signals: sentences that stand on a terminal, on a stream that never fails."""
