"""What compiled models are made of: one file per family of estimators, which reads, keeps and runs them."""
