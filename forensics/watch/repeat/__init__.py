"""A recorded run that is run again: kept from writing outside its folder, its seeds shifted, a cause taken
away by a cure.

Nothing of this is loaded unless `options.json` holds `repeat`, which `forensics prove` alone writes.
"""
