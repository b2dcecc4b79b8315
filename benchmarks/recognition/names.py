"""Names as own words of benchmarks: every second one for choosing weights, the others for what is reported."""

_TEXT = """
abigail adelaide adele agatha agnes aidan albert alfred alistair alma alonzo amanda amelia amos andrea angela annabel
ansel antonia april arnold arthur astrid aubrey augusta aurora barbara barnaby basil beatrice belinda benedict benita
bernadette bernard bertram bettina bianca blanche boris brandon brenda bridget bronwen bruce bruno byron calvin
cameron camilla candice carina carla carmen caroline casper cecilia cedric celeste charity charlotte chester christine
cindy clara clarence claudette claudia clemens clifford clive colin connor conrad cordelia corina cornelia cosmo
crispin cynthia cyril dahlia damian daniela darius davina deborah declan delilah desmond devon dexter diana dinah
dolores dominic dominica donovan dora doris dorothy duncan dustin edgar edith edmund edna eileen eleanor elena elias
elisa ella elliot elmer elsie elton elvira emilia emmet enid eric erika erin ernest esther ethel eugene evelyn fabian
fay felicia felix ferdinand fernando finley fletcher fleur flora florence floyd forrest frances franklin freda
frederick gabriel garrett gavin gemma geoffrey georgia gerard gideon gilbert giles gladys glenda gloria gordon grant
greta gustav gwendolen hamish hannah harold harriet harvey hazel heather hector helena henrietta herbert hilary hilda
holly hope horace howard hubert hugo ida imogen ingrid irene iris irma isaac isabel ivan ivy jacob jasmine jasper
jemima jerome jerry jessica joan jocelyn joel jonas joseph josephine joyce judith julian june justine kara katrina
keith kelly kendra kenneth kirsten lambert lance laura lavinia leander lena leonora leopold leslie linda lorena
lorenzo louisa lucia lydia magda manfred marcella margo marianne marina marion martina matilda melinda melissa
mercedes mildred miranda mona monica muriel nadia natalie nelson nora norbert octavia olga orlando pamela patricia
paula penelope petra philip ramona raymond rebecca regina renata roberta roland romano rosalind rudolf sabina samuel
sandra selena serena sigmund silvia simona sonia stella susanna sylvester tamara tatiana teresa theodore tobias ursula
valentina vanessa vera verena victor vincent viola virginia vivian waldo walter wanda wendy wilfred wilma yolanda
yvonne zelda
"""
NAMES = tuple(_TEXT.split())
VALID_NAMES, TEST_NAMES = NAMES[::2], NAMES[1::2]
