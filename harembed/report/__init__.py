"""What a run found, as report.json and as one self-contained HTML page."""
