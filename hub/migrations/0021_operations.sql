-- Functions that nobody called lately are told of as well: their names by a walk over this index, without reading every minute.
create index operation_function_name on operation_function (function);
