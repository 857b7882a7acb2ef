"""Old name of `tables.export_table`."""  # until the second house is done

from .tables import export_table as export_table
