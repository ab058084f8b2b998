import { PageTitle } from "../../components/PageTitle";
import { useI18n } from "../../i18n";

/** All segments. */
export default function Segments() {
  const { t } = useI18n();
  return <PageTitle title={t("segments.title")} />;
}
