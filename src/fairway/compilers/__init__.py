"""Make a bundle faster, and prove the faster form equal before it is used."""
