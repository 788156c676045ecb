"""What a run shows and leaves to read: console, tables, figures and the HTML page. Knows numbers only."""
