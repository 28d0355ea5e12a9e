# Runs PROGRAM's tests of FILTER. Good when a check of them fails; what a kernel has written where it must not may then end the program in
# any way.
execute_process(COMMAND ${PROGRAM} --gtest_filter=${FILTER} --gtest_fail_fast --gtest_color=no
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0 OR NOT output MATCHES ": Failure\n")
  message(FATAL_ERROR "the defect was not caught, the program ended with ${result}:\n${output}")
endif()
