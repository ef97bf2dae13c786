# Makes the ros-* wheels of PyPI usable from CMake. Never included on a ROS 2 distribution.
#
# Imported targets and deferred calls belong to a directory: include this in every directory that
# calls find_package for a ROS package, before the first such call.

find_package(Python3 REQUIRED COMPONENTS Interpreter)

# The wheels unpack into the prefix of a Python environment (pip's throw-away build environment or
# a venv), which need not be the prefix of the interpreter. Ask where a file of theirs ended up.
execute_process(
  COMMAND "${Python3_EXECUTABLE}" -c "
from importlib.metadata import distribution
wheel = distribution('ros-rosidl-cmake')
config = next(f for f in wheel.files if f.name == 'rosidl_cmakeConfig.cmake')
print(wheel.locate_file(config).resolve().parents[3].as_posix(), end='')
"
  OUTPUT_VARIABLE headpose_ros_wheel_prefix
  ERROR_VARIABLE headpose_ros_wheel_error
  RESULT_VARIABLE headpose_ros_wheel_status)
if(NOT headpose_ros_wheel_status EQUAL 0)
  message(FATAL_ERROR
    "The wheel ros-rosidl-cmake is not installed for ${Python3_EXECUTABLE}.\n"
    "Expected: the packages of [build-system] requires in pyproject.toml. 'pip install .' brings "
    "them by itself; with --no-build-isolation, or for colcon, install them first.\n"
    "${headpose_ros_wheel_error}")
endif()

list(PREPEND CMAKE_PREFIX_PATH "${headpose_ros_wheel_prefix}")
# rosidl looks type supports up in the ament index, and the index is found through this variable.
set(ENV{AMENT_PREFIX_PATH} "${headpose_ros_wheel_prefix}")

# Some targets of the wheels export the Python headers of the container in which the wheels were
# built (/opt/python/cpXY-cpXY/...). CMake refuses include directories that do not exist.
function(headpose_ros_drop_foreign_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(includes MATCHES "/opt/python/")
      list(FILTER includes EXCLUDE REGEX "^/opt/python/")
      set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${includes}")
    endif()
  endforeach()
endfunction()
# Deferred to the end of the directory, when every find_package has run.
cmake_language(DEFER CALL headpose_ros_drop_foreign_includes)

# Python needs the C type supports alone, and C++ is half of what there is to generate and compile.
# A macro, since the list is a variable of the caller. Called before rosidl_generate_interfaces.
macro(headpose_ros_leave_out_cpp)
  list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE
    REGEX "^rosidl_(generator|typesupport|typesupport_fastrtps|typesupport_introspection)_cpp:")
endmacro()
