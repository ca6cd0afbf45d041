"""Removes what closed windows of streams leave behind."""
