"""fairway: from a trained model to a served, documented, versioned prediction."""
