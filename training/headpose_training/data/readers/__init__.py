"""One reader per public dataset format; `data.formats` lists them."""
