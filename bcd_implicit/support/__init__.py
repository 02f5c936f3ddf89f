"""What knows no mathematics: checks, tables, files, progress, parallel work, threads, HTML."""
