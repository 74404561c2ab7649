"""Everything between a decoded request and a prediction."""
