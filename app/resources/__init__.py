"""What the API shows, made from the objects of paper/ and review/."""
