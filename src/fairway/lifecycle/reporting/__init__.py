"""What a check found: the document, and the page that shows it."""
