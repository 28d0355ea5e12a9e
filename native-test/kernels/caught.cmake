# Runs PROGRAM's tests of FILTER. Good when some of them fail and the program says which.
execute_process(COMMAND ${PROGRAM} --gtest_filter=${FILTER} --gtest_fail_fast --gtest_color=no
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT result EQUAL 1 OR NOT output MATCHES "FAILED TEST")
  message(FATAL_ERROR "the defect was not caught, the program ended with ${result}:\n${output}")
endif()
