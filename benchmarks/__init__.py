"""How fast questions are answered over a year of thousands of people: see README.md."""
