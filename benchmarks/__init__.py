"""Speed of reports over a year of thousands of people: see README.md."""
