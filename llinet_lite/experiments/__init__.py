"""What the lessons compute: every experiment returns arrays or a table, and draws nothing."""
