"""Fits of many tasks in one program, over one matrix that stays on its device."""
