# Who may include whom, the one table of it. From here come the include path of each room, of which nothing is inherited,
# and the picture of tools/draw_rooms.py; tests/house demands that a forbidden include does not compile.
#
# g3n_room(NAME [PUBLIC_HEADERS error.h ...] [SEES room ...]): every room sees itself and core besides; of include/g3n it
# sees the headers named, all of them for "all". What a header includes counts for whoever includes it.
define_property(GLOBAL PROPERTY G3N_ROOMS)
function(g3n_room room)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PUBLIC_HEADERS;SEES")
  set_property(GLOBAL APPEND PROPERTY G3N_ROOMS ${room})
  set_property(GLOBAL PROPERTY G3N_ROOM_SEES_${room} ${arg_SEES})
  set_property(GLOBAL PROPERTY G3N_ROOM_PUBLIC_${room} ${arg_PUBLIC_HEADERS})
endfunction()
function(g3n_exception room)
  set_property(GLOBAL APPEND PROPERTY G3N_ROOM_SEES_${room} ${ARGN})
endfunction()

# Lowest floor first.
g3n_room(core       PUBLIC_HEADERS error.h options.h)
g3n_room(json       PUBLIC_HEADERS error.h)
g3n_room(seam       PUBLIC_HEADERS error.h)
g3n_room(kernels    PUBLIC_HEADERS error.h)
g3n_room(media      PUBLIC_HEADERS error.h message.h prompt.h)
g3n_room(formats    PUBLIC_HEADERS error.h           SEES json)
g3n_room(tokenizer  PUBLIC_HEADERS error.h message.h SEES json)
g3n_room(weights    PUBLIC_HEADERS error.h           SEES kernels formats json)
g3n_room(text       PUBLIC_HEADERS error.h           SEES kernels weights json seam)
g3n_room(embedder   PUBLIC_HEADERS error.h           SEES kernels weights)
g3n_room(vision     PUBLIC_HEADERS error.h message.h SEES kernels weights json embedder)
g3n_room(audio      PUBLIC_HEADERS error.h message.h SEES kernels weights json embedder)
g3n_room(checkpoint PUBLIC_HEADERS all SEES kernels media json seam formats tokenizer weights text embedder vision audio)
g3n_room(model      PUBLIC_HEADERS all SEES kernels media json seam formats tokenizer weights text embedder vision audio checkpoint)
g3n_room(runtime    PUBLIC_HEADERS all SEES seam model checkpoint tokenizer media formats)
g3n_room(server     PUBLIC_HEADERS all SEES json)
g3n_room(apps       PUBLIC_HEADERS all SEES json server)

# Exceptions. Each line closes by being deleted, once what it names is gone.
g3n_exception(runtime json kernels)                               # engine and prompt_builder take model.h, which holds configs, towers and the kernel table
g3n_exception(runtime weights text embedder vision audio)         # the same header: TextModel, towers, bundles

# A room's folder in the build tree holds one link of the room's name, so a path to it gives "room/header.h" and nothing
# else. Public headers that only some rooms may see are linked one by one.
set(G3N_ROOMS_DIR ${PROJECT_BINARY_DIR}/rooms)
function(g3n_link from to)
  get_filename_component(folder ${to} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  if(IS_SYMLINK ${to})
    file(READ_SYMLINK ${to} target)
    if(target STREQUAL from)
      return()
    endif()
  endif()
  file(CREATE_LINK ${from} ${to} SYMBOLIC)
endfunction()

get_property(rooms GLOBAL PROPERTY G3N_ROOMS)
list(REMOVE_ITEM rooms apps server)
foreach(room ${rooms})
  g3n_link(${PROJECT_SOURCE_DIR}/src/${room} ${G3N_ROOMS_DIR}/${room}/${room})
endforeach()
g3n_link(${PROJECT_SOURCE_DIR}/server ${G3N_ROOMS_DIR}/server/server)

# The include path of a target by the folder it is defined in: a room's from the table; tests, tools and bench see all.
function(g3n_include_path target)
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  string(REGEX REPLACE "^src/" "" room ${folder})
  get_property(rooms GLOBAL PROPERTY G3N_ROOMS)
  if(NOT room IN_LIST rooms)
    if(folder MATCHES "^src/")
      message(FATAL_ERROR "${folder}: a room that cmake/rooms.cmake does not know")
    endif()
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    return()
  endif()
  get_property(neighbours GLOBAL PROPERTY G3N_ROOM_SEES_${room})
  foreach(seen ${room} core ${neighbours})
    if(NOT seen STREQUAL "apps")
      target_include_directories(${target} PRIVATE ${G3N_ROOMS_DIR}/${seen})
    endif()
  endforeach()
  get_property(headers GLOBAL PROPERTY G3N_ROOM_PUBLIC_${room})
  foreach(header ${headers})
    if(header STREQUAL "all")
      target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include)
    else()
      g3n_link(${PROJECT_SOURCE_DIR}/include/g3n/${header} ${G3N_ROOMS_DIR}/include/${header}/g3n/${header})
      target_include_directories(${target} PRIVATE ${G3N_ROOMS_DIR}/include/${header})
    endif()
  endforeach()
endfunction()
