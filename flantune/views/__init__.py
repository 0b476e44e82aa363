"""All that a person reads: tables for a terminal (`*_text.py`, `show.py`), pages (`*_page.py`, `report*.py`), plots and log
lines. A view takes results and decides nothing.
"""
