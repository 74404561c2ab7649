"""Why a model answered so: contributions of the inputs, weights of the words, under a time budget."""
