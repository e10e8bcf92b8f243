"""A recorded run that is run again.

It is kept from writing outside its folder, its seeds are shifted, and a cure takes a cause away.

Nothing of this is loaded unless `options.json` holds `repeat`, which `forensics prove` alone writes.
"""
